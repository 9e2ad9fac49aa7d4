"""What runs before anything is installed: standard library only, in syntax that Python 3.8 reads."""
