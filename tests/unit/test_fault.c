/* policy/fault. */
#include "unit.h"

#include "policy/fault.h"

static const struct {
	const char *address;
	bool is_fault;
	struct fault expected;
} address_cases[] = {
	{"452@x.test", true, {0, RULE_REPLY, 452, ""}},
	{"452-4.2.2@x.test", true, {0, RULE_REPLY, 452, "4.2.2"}},
	{"550-5.1.1+some@x.test", true, {0, RULE_REPLY, 550, "5.1.1"}},
	{"421@x.test", true, {0, RULE_REPLY, 421, ""}},
	{"599-5.100.999", true, {0, RULE_REPLY, 599, "5.100.999"}},
	{"disconnect@x.test", true, {0, RULE_DISCONNECT, 0, ""}},
	{"Reset@x.test", true, {0, RULE_RESET, 0, ""}},
	{"STALL+1@x.test", true, {0, RULE_STALL, 0, ""}},
	{"drop@x.test", true, {0, RULE_DROP, 0, ""}},
	{"delay5@x.test", true, {5000, RULE_REPLY, 0, ""}},
	{"delay0@x.test", true, {0, RULE_REPLY, 0, ""}},
	{"delay250ms@x.test", true, {250, RULE_REPLY, 0, ""}},
	{"Delay2M@x.test", true, {120000, RULE_REPLY, 0, ""}},
	{"delay1h@x.test", true, {3600000, RULE_REPLY, 0, ""}},
	{"delay3600@x.test", true, {3600000, RULE_REPLY, 0, ""}},
	{"delay5-452-4.2.2@x.test", true, {5000, RULE_REPLY, 452, "4.2.2"}},
	{"delay10ms-stall@x.test", true, {10, RULE_STALL, 0, ""}},
	{"", false, {0}},
	{"@x.test", false, {0}},
	{"joe@x.test", false, {0}},
	{"joe+452@x.test", false, {0}},
	{"399@x.test", false, {0}},
	{"250@x.test", false, {0}},
	{"600@x.test", false, {0}},
	{"0452@x.test", false, {0}},
	{"45@x.test", false, {0}},
	{"452-@x.test", false, {0}},
	{"452-5.1.1@x.test", false, {0}},
	{"452-4.2@x.test", false, {0}},
	{"452-4.2.2-1@x.test", false, {0}},
	{"452-4.2.22222222@x.test", false, {0}},
	{"4522@x.test", false, {0}},
	{"dropped@x.test", false, {0}},
	{"drop-452@x.test", false, {0}},
	{"delay@x.test", false, {0}},
	{"delay-452@x.test", false, {0}},
	{"delay5-@x.test", false, {0}},
	{"delay5-joe@x.test", false, {0}},
	{"delay5x@x.test", false, {0}},
	{"delay3601@x.test", false, {0}},
	{"delay2h@x.test", false, {0}},
	{"delay18446744073709551616@x.test", false, {0}},
	{"delay18446744073709551615s@x.test", false, {0}},
	{"delay5-delay5@x.test", false, {0}},
	{"delay0000000000000000000000000000000000000000000005@x", false, {0}},
	{"\"452\"@x.test", false, {0}},
};

static void addresses(void)
{
	for (size_t i = 0; i < sizeof(address_cases) / sizeof(address_cases[0]); i++) {
		const struct fault untouched = {7, RULE_DELIVER, 7, "7"};
		struct fault f = untouched;
		const char *name = address_cases[i].address;
		const struct fault *e = address_cases[i].is_fault
						? &address_cases[i].expected
						: &untouched;

		CHECK(name,
			fault_of_address(str_of(name), &f) == address_cases[i].is_fault);
		CHECK(name, f.delay_ms == e->delay_ms && f.action == e->action &&
				    f.code == e->code);
		CHECK_STR(name, str_of(f.enhanced), str_of(e->enhanced));
	}
	CU_ASSERT_FALSE(
		fault_of_address((struct str){"452\0@x.test", 11}, &(struct fault){0}));
}

void suite_fault(void)
{
	CU_pSuite s = CU_add_suite("fault", NULL, NULL);

	CU_add_test(s, "addresses", addresses);
}
