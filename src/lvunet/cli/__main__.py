"""`python -m lvunet.cli` is `lvunet`."""

from lvunet.cli import main

main()
