"""Every example runs as it stands, on its small data, and prints what it is there to show; the table in examples/README.md is true."""

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from fastcnn import models
from fastcnn.cli import COMMANDS
from tests.pictures import opened
