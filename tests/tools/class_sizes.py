#!/usr/bin/python3
"""Fails when a class of src or include has more than 40 functions or 30 data members.

Counts by clang's parser: functions that are declared in the class body, without those that are deleted or
defaulted; non-static data members, with those of anonymous structs and unions. Inherited ones do not count.

All headers are parsed together, once, and kept as a precompiled header for the .cpp files that define classes of
their own. Function bodies are skipped, so classes inside of functions are not seen.

usage: class_sizes.py [--all]     from the project's root; --all prints every class, largest first
"""
import json
import os
import re
import shlex
import sys
import tempfile
from multiprocessing import Pool

from clang import cindex

MAX_FUNCTIONS, MAX_MEMBERS = 40, 30

# Classes over a limit: (functions, members) as ceilings, which they may not exceed, and why they are here.
EXCEPTIONS = {
    "remora::Transport": (63, 27, "socket, TLS and receive buffer in one: to become transport, tls_transport, receive_buffer"),
    "remora::WorkerContext": (5, 36, "all that a worker lends to its exchanges; to be grouped by module"),
}

K = cindex.CursorKind
CLASSES = (K.CLASS_DECL, K.STRUCT_DECL, K.CLASS_TEMPLATE, K.CLASS_TEMPLATE_PARTIAL_SPECIALIZATION, K.UNION_DECL)
FUNCTIONS = (K.CXX_METHOD, K.CONSTRUCTOR, K.DESTRUCTOR, K.CONVERSION_FUNCTION, K.FUNCTION_TEMPLATE)


def members_of(cursor):
    """(functions, data members) of one class body."""
    functions = members = 0
    for child in cursor.get_children():
        if child.kind in FUNCTIONS:
            if not child.is_deleted_method() and not child.is_default_method():
                functions += 1
        elif child.kind == K.FIELD_DECL:
            members += 1
        elif child.kind in CLASSES and child.is_anonymous():
            inner = members_of(child)
            functions, members = functions + inner[0], members + inner[1]
    return functions, members


def qualified_name(cursor):
    names = []
    while cursor is not None and cursor.kind != K.TRANSLATION_UNIT:
        if not cursor.is_anonymous() and cursor.spelling:
            names.append(cursor.spelling)
        cursor = cursor.semantic_parent
    return "::".join(reversed(names))


def classes_of(cursor, root, found):
    """Adds the classes that are defined in files below `root`: (name, file) -> (functions, members)."""
    for child in cursor.get_children():
        file = child.location.file
        path = os.path.abspath(file.name) if file is not None else ""
        if not path.startswith((root + "/src/", root + "/include/")):
            continue
        if child.kind in CLASSES and child.is_definition() and not child.is_anonymous():
            found[(qualified_name(child), os.path.relpath(path, root))] = members_of(child)
        if child.kind in CLASSES or child.kind in (K.NAMESPACE, K.LINKAGE_SPEC):
            classes_of(child, root, found)


def compiler_flags(build):
    """What decides how our files are read, as the build compiles them."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    command = next(c["command"] for c in commands if c["file"].endswith("/src/server/server.cpp"))
    return ["-x", "c++"] + [word for word in shlex.split(command) if word.startswith(("-D", "-I", "-std="))]


def parse(path, arguments, header=False):
    options = cindex.TranslationUnit.PARSE_SKIP_FUNCTION_BODIES
    if header:
        options |= cindex.TranslationUnit.PARSE_INCOMPLETE
    unit = cindex.Index.create(excludeDecls=not header).parse(path, args=arguments, options=options)
    errors = [str(d) for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
    if errors:
        sys.exit("class_sizes: cannot parse " + path + ":\n" + "\n".join(errors[:5]))
    return unit


def classes_of_source(job):
    path, arguments, root = job
    found = {}
    classes_of(parse(path, arguments).cursor, root, found)
    return found


def files_below(folders, extension):
    return sorted(os.path.join(at, name) for folder in folders for at, _, names in os.walk(folder)
                  for name in names if name.endswith(extension))


def all_classes(root, build):
    flags = compiler_flags(build)
    headers = files_below([root + "/src", root + "/include"], ".h")
    sources = []
    for path in files_below([root + "/src"], ".cpp"):
        with open(path, encoding="utf-8") as file:
            if re.search(r"\b(class|struct|union)\b", file.read()):
                sources.append(path)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        together = os.path.join(folder, "headers.h")
        with open(together, "w", encoding="utf-8") as file:
            file.writelines(f'#include "{path}"\n' for path in headers)
        unit = parse(together, ["-x", "c++-header"] + flags[2:], header=True)
        precompiled = together + ".pch"
        unit.save(precompiled)
        classes_of(unit.cursor, root, found)
        with Pool() as pool:
            jobs = [(path, flags + ["-include-pch", precompiled], root) for path in sources]
            for classes in pool.imap_unordered(classes_of_source, jobs, chunksize=4):
                found.update(classes)
    return found


def main():
    root = os.getcwd()
    found = all_classes(root, os.path.join(root, "build", "dev"))
    if len(found) < 100:
        sys.exit(f"class_sizes: only {len(found)} classes found: the parser has missed something")
    if "--all" in sys.argv:
        for (name, path), (functions, members) in sorted(found.items(), key=lambda c: -max(c[1])):
            print(f"{functions:4} functions {members:4} members  {name}  {path}")
    failed = False
    seen = set()
    for (name, path), (functions, members) in sorted(found.items()):
        most_functions, most_members, _ = EXCEPTIONS.get(name, (MAX_FUNCTIONS, MAX_MEMBERS, ""))
        if functions > most_functions or members > most_members:
            failed = True
            print(f"{path}: {name} has {functions} functions (at most {most_functions}) and {members} data members "
                  f"(at most {most_members})", file=sys.stderr)
        elif name in EXCEPTIONS and (functions, members) != (most_functions, most_members):
            print(f"class_sizes: {name} is down to {functions} functions and {members} members: lower its ceiling")
        seen.add(name)
    for name in EXCEPTIONS.keys() - seen:
        print(f"class_sizes: {name} is gone: remove its exception")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
