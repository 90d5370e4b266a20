import importlib

# ruleid: no-unpickling
import pickle

# ruleid: no-unpickling
import joblib

# ruleid: no-unpickling
from cloudpickle import loads

# ruleid: no-unpickling
from dill import loads as undill

import numpy as np
import torch
import yaml

# ruleid: no-unpickling
found = importlib.import_module("dill")
# ok: no-unpickling
other = importlib.import_module("json")
# ruleid: no-unpickling
array = np.load("file.npy", allow_pickle=True)
# ok: no-unpickling
array = np.load("file.npy", allow_pickle=False)
# ruleid: no-unpickling
model = torch.load("model.pt")

# ruleid: no-evaluation
eval("1 + 1")
# ruleid: no-evaluation
exec("import os")
# ruleid: no-evaluation
compile(text, "<text>", "exec")
# ok: no-evaluation
rule.eval(activation)
# ok: no-evaluation
pattern = re.compile("a+")

# ruleid: no-loading-of-yaml-objects
yaml.load(text)
# ruleid: no-loading-of-yaml-objects
yaml.load(text, Loader=yaml.FullLoader)
# ruleid: no-loading-of-yaml-objects
yaml.unsafe_load(text)
# ok: no-loading-of-yaml-objects
yaml.safe_load(text)
# ok: no-loading-of-yaml-objects
yaml.load(text, Loader=yaml.SafeLoader)
