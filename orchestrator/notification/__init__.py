"""Ways to reach people: a command, a webhook, and the thread that they are called from."""
