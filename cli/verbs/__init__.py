"""What ``mlops`` can do, a file per verb: its parameters, the work it asks for, and how it shows what came of it."""
