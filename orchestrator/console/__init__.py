"""What people see in the terminal: progress, plans, tables, errors."""
