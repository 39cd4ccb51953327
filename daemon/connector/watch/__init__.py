"""Whether the connector, its clock and its event loop are well."""
