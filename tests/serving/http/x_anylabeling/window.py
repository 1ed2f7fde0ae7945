"""Drives X-AnyLabeling's window without a screen; run by the Python of its environment, not by the tests' own.

::

    window.py ADDRESS IMAGE < steps    after each step, a line of JSON that says what the window shows

A step is a list: ``ask TEXT``, ``task NAME``, ``key KEY``, ``replace``, ``mark POSITIVE X Y [X Y]``, ``name LABEL``,
``all TEXT`` (ask the same of each image of the folder), ``save``, ``shot FILE``.
"""

import json
import os
import sys
import time
from pathlib import Path

import anylabeling.config as settings
from anylabeling.resources import resources  # noqa: F401 - its icons
from anylabeling.views.labeling.utils.batch import run_all_images
from anylabeling.views.labeling.utils.theme import init_theme
from anylabeling.views.labeling.widgets.remote_server_dialog import RemoteServerDialog
from anylabeling.views.mainwindow import MainWindow
from PyQt6 import QtCore, QtWidgets
from PyQt6.QtTest import QTest

QtCore.QCoreApplication.setAttribute(QtCore.Qt.ApplicationAttribute.AA_ShareOpenGLContexts)
app = QtWidgets.QApplication([*sys.argv[:1], "-platform", "offscreen"])

PATIENCE = 120
"""Seconds that a prediction may take."""


def until(holds, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit("the window does not come to it")
        app.processEvents()
        time.sleep(0.01)


def rest(seconds=0.3):
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


class Window:
    def __init__(self, address, image):
        settings.current_config_file = str(Path.home() / ".xanylabelingrc")
        settings.get_default_config()
        own = {"auto_save": False, "language": "en_US"}
        config = settings.get_config(settings.current_config_file, own)
        init_theme("light")
        self.main = MainWindow(app, config=config, filename=image)
        self.main.resize(1300, 850)
        self.main.show()
        rest(1)
        self.view = self.main.labeling_widget.view
        self.tools = self.view.auto_labeling_widget
        self.models = self.tools.model_manager
        self.said = []
        self.models.new_model_status.connect(self.said.append)
        self.ready = []
        self.models.prediction_finished.connect(lambda: self.ready.append(True))
        self.connect(address, "")
        self.tools.show()

    def connect(self, address, key):
        """Choose the model as in its list; its dialog asks for the address and the key."""
        (name,) = (name for name in self.tools.model_info if "remote_server" in name)

        def fill():
            dialog = app.activeModalWidget()
            if not isinstance(dialog, RemoteServerDialog):
                QtCore.QTimer.singleShot(50, fill)
                return
            dialog.url_input.setText(address)
            dialog.api_key_input.setText(key)
            dialog.accept()

        QtCore.QTimer.singleShot(50, fill)
        self.tools.on_model_selected("Others", name)
        until(lambda: self.said and not self.said[-1].startswith("Loading"))
        rest()

    def predicted(self, do):
        self.ready.clear()
        do()
        until(lambda: self.ready)
        rest()

    def ask(self, text):
        self.tools.edit_text.setText(text)
        button = self.tools.button_send
        self.predicted(lambda: QTest.mouseClick(button, QtCore.Qt.MouseButton.LeftButton))

    def task(self, name):
        box = self.tools.remote_task_select_combobox
        box.setCurrentIndex(box.findText(name))
        rest()

    def replace(self):
        self.tools.toggle_preserve_existing_annotations.click()
        rest()

    def mark(self, positive, *points):
        """Press a button of points or of a box, and click on the image."""
        tools = self.tools
        button = tools.button_add_rect if len(points) > 2 else tools.button_add_point
        QTest.mouseClick(button if positive else tools.button_remove_point, QtCore.Qt.MouseButton.LeftButton)
        rest()
        canvas = self.view.canvas

        def click(x, y):
            place = QtCore.QPointF(x, y) + canvas.offset_to_center()
            place = (place * canvas.scale).toPoint()
            QTest.mouseMove(canvas, place)
            rest(0.1)
            QTest.mouseClick(canvas, QtCore.Qt.MouseButton.LeftButton, pos=place)

        for number in range(0, len(points) - 2, 2):
            click(*points[number : number + 2])
        self.predicted(lambda: click(*points[-2:]))

    def name(self, label):
        """Press "Finish" and name the object in the dialog that asks."""

        def fill():
            dialog = app.activeModalWidget()
            if dialog is None:
                QtCore.QTimer.singleShot(50, fill)
                return
            dialog.edit.setText(label)
            dialog.validate()

        QtCore.QTimer.singleShot(50, fill)
        QTest.mouseClick(self.tools.button_finish_object, QtCore.Qt.MouseButton.LeftButton)
        rest()

    def all(self, text):
        """Ask all images of the folder, in the dialogs that ask for it."""
        self.view.import_image_folder(str(Path(self.view.filename).parent), load=True)
        rest()

        def fill():
            dialog = app.activeModalWidget()
            if hasattr(dialog, "text_input"):
                dialog.text_input.setText(text)
                dialog.accept()
            elif isinstance(dialog, QtWidgets.QDialog) and not isinstance(dialog, QtWidgets.QProgressDialog):
                dialog.accept()
            if not getattr(self.view, "_batch_processing_active", False):
                QtCore.QTimer.singleShot(50, fill)

        QtCore.QTimer.singleShot(50, fill)
        run_all_images(self.view)
        until(lambda: not getattr(self.view, "_batch_processing_active", False))
        rest()

    def save(self):
        self.view.save_file()
        rest()

    def shot(self, file):
        self.main.grab().save(file)

    def state(self):
        tools = self.tools
        return {
            "shapes": [
                {
                    "label": shape.label,
                    "kind": shape.shape_type,
                    "points": [[point.x(), point.y()] for point in shape.points],
                    "score": shape.score,
                    "description": shape.description,
                    "group": shape.group_id,
                }
                for shape in self.view.canvas.shapes
            ],
            "description": self.view.other_data.get("description"),
            "replace": tools.toggle_preserve_existing_annotations.text(),
            "shown": [name for name in tools.supported_remote_widgets if getattr(tools, name).isVisible()],
            "tasks": [
                tools.remote_task_select_combobox.itemText(number)
                for number in range(tools.remote_task_select_combobox.count())
            ],
            "said": list(self.said),
        }


window = Window(*sys.argv[1:3])
for verb, *arguments in [["state"], *json.load(sys.stdin)]:
    window.said.clear()
    getattr(window, verb)(*arguments)
    sys.stdout.write(f"STATE {json.dumps(window.state())}\n")
    sys.stdout.flush()
os._exit(0)  # threads of Qt's need not come to an end
