"""What chooses the values that searches try: Optuna."""
