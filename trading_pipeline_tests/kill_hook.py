"""A process that is killed before its n-th file operation."""

import os
import signal


def killing(operation, folder):
    """An audit hook that kills the process before its n-th file operation in the folder.

    Python tells the hook of every open, rename, removal and folder that it is about to do.
    """
    count = 0

    def hook(event, args):
        nonlocal count
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir") and (
            str(folder) in str(args[0]) or str(args[0]).startswith(".")
        ):
            count += 1
            if count == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook
