"""`python -m micromoment`: the command line."""

from micromoment.cli import main

if __name__ == "__main__":
    main()
