"""Reading a saved scene outside Slicer, where nobody has prepared it."""

import slicer


def read_mrb(scene, path, folder):
    """Read a .mrb file into a scene; ``folder`` takes what is unpacked."""
    cache, manager = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(str(folder))
    manager.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(manager)
    scene.RegisterNodeClass(slicer.vtkMRMLMarkupsJsonStorageNode())  # As Slicer's markups module does.
    assert scene.ReadFromMRB(str(path), True)
