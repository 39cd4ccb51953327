"""The local exchange's sockets: what is asked, what is streamed, and the control page."""
