"""Many scans: batch with resume; agreement statistics."""
