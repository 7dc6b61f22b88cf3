"""Studies: experiments ready to run, one file each, each binding `study`."""
