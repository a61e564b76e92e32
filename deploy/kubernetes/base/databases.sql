-- Beside the registry's own database, which the image makes. Run once, when the volume is empty.
CREATE DATABASE mlflow;
