/* SPDX-License-Identifier: GPL-2.0-only */
/* Small helpers around json-c. */
#ifndef OVM_VMI_JSON_H
#define OVM_VMI_JSON_H

#include <json-c/json.h>

#include "cleanup.h"

static inline void ovm_cleanup_json(struct json_object **object)
{
	json_object_put(*object);
}
#define _cleanup_json_ _cleanup_(ovm_cleanup_json)

/** Text under @key of @object, or "" when there is none. Lives as long as @object. */
static inline const char *ovm_json_string(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

#endif /* OVM_VMI_JSON_H */
