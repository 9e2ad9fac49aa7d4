"""``python -m cli`` is ``mlops``."""

from cli.main import main

if __name__ == "__main__":
    main()
