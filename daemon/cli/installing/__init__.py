"""`hftd install` and `hftd uninstall`: systemd's units of a machine, made from those that come with hftd."""
