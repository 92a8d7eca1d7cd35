"""Private fine-tuning of public networks: which of their weights move, who chooses them, and what the choice costs."""
