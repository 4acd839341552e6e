"""The page of a result: one HTML file without network, to look at a registration and to judge it."""

from DiffuseMorphCore.result_page.document import page, write_page
from DiffuseMorphCore.result_page.findings import Finding, findings
from DiffuseMorphCore.result_page.methods import methods

__all__ = ["Finding", "findings", "methods", "page", "write_page"]
