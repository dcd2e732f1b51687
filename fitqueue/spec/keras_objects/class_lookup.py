"""Look up classes and names in the catalogue, and report those that it does not have."""

from fitqueue.spec.findings import FaultCode, Pointer, did_you_mean, listed, quoted
from fitqueue.spec.keras_objects import catalogue

NO_OPERATIONS = "Operations on tensors are not supported."


def find_class(class_name: str, kind: str) -> catalogue.Entry | None:
    """Return the class with this name, or with it in lower case, because Keras ignores the case of optimizers."""
    known = catalogue.kind(kind)
    return known.find(class_name) or known.find(class_name.lower())


def without_package(registered_name: str) -> str:
    """Return the name of a class without the package that Keras writes in front: `Custom>Dense` is a Dense."""
    return registered_name.rpartition(">")[2] or registered_name


def report_unknown_class(class_name: str, kind: str, pointer: Pointer, reason: str | None = None) -> None:
    """Report a class that the catalogue does not have, with the reason or the nearest known one."""
    reason = reason or catalogue.left_out(class_name, kind)
    known = catalogue.ACTIVATION_LAYERS if kind == "activations" else catalogue.kind(kind).classes
    advice = f" {reason}" if reason else did_you_mean(without_package(class_name), known)
    pointer.add_fault(
        FaultCode.UNKNOWN_CLASS,
        f"{quoted(class_name)} is not one of the {kind} of this service." + advice,
        received=class_name,
        expected=f"one of the {kind} in the catalogue",
    )


def check_name(name: str, kind: str, pointer: Pointer) -> str:
    """Return the name unchanged, and report it if it does not stand for an object."""
    known = catalogue.kind(kind)
    if name in known.names:
        return name
    entry = known.classes.get(name)
    if entry is not None:
        arguments = listed(entry.required or list(entry.properties))
        message = f"{name} needs arguments ({arguments}): write it as {{class_name, config}}."
        pointer.add_fault(FaultCode.MISSING, message, name)
    else:
        pointer.add_fault(
            FaultCode.UNKNOWN_NAME,
            f"{quoted(name)} is not one of the {kind} of this service." + did_you_mean(name, known.all_names()),
            received=name,
            expected=f"one of the {kind} in the catalogue",
        )
    return name
