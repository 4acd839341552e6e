"""The paper's tables and figures: data as tensors, networks trained on the same terms, scores, pages and pictures."""
