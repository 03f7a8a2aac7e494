"""Pages are tested by their code; what is built is not."""

collect_ignore_glob = ["*.py", "_build/*", "gallery/*"]
