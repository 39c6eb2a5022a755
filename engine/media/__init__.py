"""Media engines and media nodes: what carries sound and picture, behind ports."""
