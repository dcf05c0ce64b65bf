def load(sinks: bool) -> None:
    pass
