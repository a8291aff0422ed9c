"""`python -m agents` is `culdesac`."""

from agents.commands import main

if __name__ == "__main__":
    main()
