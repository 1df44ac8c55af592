/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For cppcheck alone, which reads no system headers: macros of libraries that
 * it could not parse otherwise, in a simpler form.
 */
#define json_object_foreach(object, key, value) \
	for ((key) = 0, (value) = 0; (object); (object) = 0)
#define LIBBPF_OPTS(type, name, ...)           struct type name = { 0 }
#define LIST_ENTRY(type)                       struct type *
#define LIST_HEAD(name, type)                  struct type *
#define LIST_INSERT_HEAD(list, element, field) (*(list) = (element))
#define LIST_REMOVE(element, field)            ((void)(element))
#define LIST_INIT(list)                        (*(list) = 0)
#define LIST_EMPTY(list)                       (*(list) == 0)
#define LIST_FIRST(list)                       (*(list))
#define RTE_DIM(array)                         (sizeof(array) / sizeof((array)[0]))
