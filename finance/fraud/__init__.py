"""Fraud in payments: anomaly detection and supervised models on transactions, the same online as offline."""
