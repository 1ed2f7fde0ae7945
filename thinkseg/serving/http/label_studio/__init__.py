"""Label Studio: the routes that it asks a model behind, and what they answer.

::

    router ──▶ labelling   which tags of the project ask, and which take an answer
           ──▶ reading     images, where the operator allows it
                └─▶ login  by Label Studio's API key
           ──▶ regions     masks as brush strokes, polygons or boxes
                └─▶ brush  Label Studio's own run lengths

Nothing of Label Studio is imported; its contract is what `label_studio_ml.api` has.
"""
