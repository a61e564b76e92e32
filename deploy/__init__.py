"""Files and scripts for those who run orch for a team; not part of the installed package."""
