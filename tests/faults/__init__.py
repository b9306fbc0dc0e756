"""`make faults`: kills, damaged files and verbs at one time, and whether what the messages say mends each."""
