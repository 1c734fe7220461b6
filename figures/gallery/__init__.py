"""`simlab reproduce`: figures computed in parallel, judged, drawn and kept, and the page that shows them."""
