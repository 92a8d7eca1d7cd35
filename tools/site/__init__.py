"""The static site of `make gallery`, a file for each thing: words of the repository, HTML, links, pages, the whole."""
