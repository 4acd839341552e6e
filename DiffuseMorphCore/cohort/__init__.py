"""Many pairs of one table: registered by Dask, none twice, with a summary and a page of all."""
