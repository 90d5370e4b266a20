import asyncio
import os
import shutil
import subprocess
import tempfile

# ruleid: no-shell
subprocess.run(f"ls {folder}", shell=True)
# ruleid: no-shell
subprocess.Popen(command, stdout=log, shell=True)
# ruleid: no-shell
os.system("ls")
# ruleid: no-shell
asyncio.create_subprocess_shell("ls")
# ok: no-shell
subprocess.run(["ls", folder], check=True)
# ok: no-shell
subprocess.run(["ls", folder], shell=False)

# ruleid: no-guessable-temporary-file
name = tempfile.mktemp()
# ok: no-guessable-temporary-file
folder = tempfile.mkdtemp()

# ruleid: no-unpacking-past-the-folder
archive.extractall(folder)
# ok: no-unpacking-past-the-folder
archive.extractall(folder, filter="data")
# ruleid: no-unpacking-past-the-folder
shutil.unpack_archive("a.tar")
