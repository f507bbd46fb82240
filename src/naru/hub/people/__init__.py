"""Who there is: accounts, organisations, what stands for them, and what each of them may do."""
