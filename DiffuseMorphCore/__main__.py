"""`python -m DiffuseMorphCore …` is the command `diffusemorph …`."""

from DiffuseMorphCore.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
