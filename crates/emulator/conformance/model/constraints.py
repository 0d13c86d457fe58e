def table(stage):
    return ()
