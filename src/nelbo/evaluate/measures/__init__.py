"""The measures, one file each: `nelbo evaluate RUN --measure NAME`."""
