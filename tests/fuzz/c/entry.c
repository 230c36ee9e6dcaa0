/*
 * entry.c - the entry of socker_python.so, whose hook only says that it was called.
 */
#include "../../../spank_plugin/python_entry.c"

static int socker_python_hook(struct step_request *request)
{
	(void)request;
	return 77;
}
