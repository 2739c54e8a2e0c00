"""Annotation: people's boxes on photos, in the formats of annotation tools, and which to label."""
