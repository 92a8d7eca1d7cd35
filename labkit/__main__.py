"""`python -m labkit`: the command line where no script `labkit` is on the path."""

from labkit.cli import main

raise SystemExit(main())
