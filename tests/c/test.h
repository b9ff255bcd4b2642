/* test.h - a test harness for one file of tests.
 *
 *   TEST(adds) { CASE("n %d", 2); CHECK(1 + 1 == 2); }
 *   SUITE() { RUN(adds); }
 *
 * A failing CHECK prints the expression and the last CASE, and the test goes on. The program ends
 * with a line `N passed, N failed` that counts tests, and fails if one of them did. */
#ifndef NNC_TEST_H
#define NNC_TEST_H

#include <stdbool.h>
#include <stdio.h>

enum { TEST_MESSAGES = 10 }; /* printed for one test, at most */

typedef struct {
    int passed, failed;
    int failures; /* of the test that runs */
    char where[200];
} test_state;

static test_state test_now;

/* What is being tested, for the message of a CHECK that fails. */
#define CASE(...) ((void)snprintf(test_now.where, sizeof test_now.where, __VA_ARGS__))

#define CHECK(expression) test_check((expression), #expression, __FILE__, __LINE__)

static inline void test_check(bool ok, const char *expression, const char *file, int line)
{
    if (ok || ++test_now.failures > TEST_MESSAGES) return;
    printf("%s:%d: %s [%s]\n", file, line, expression, test_now.where);
}

static inline void test_run(const char *name, void (*body)(void))
{
    test_now.failures = 0;
    test_now.where[0] = '\0';
    body();
    test_now.passed += test_now.failures == 0;
    test_now.failed += test_now.failures > 0;
    printf("%-4s %s", test_now.failures ? "FAIL" : "ok", name);
    if (test_now.failures) printf(": %d checks", test_now.failures);
    printf("\n");
    fflush(stdout);
}

#define TEST(name) static void name(void)
#define RUN(name) test_run(#name, name)

#define SUITE()                                                             \
    static void test_suite(void);                                           \
    int main(void)                                                          \
    {                                                                       \
        test_suite();                                                       \
        printf("%d passed, %d failed\n", test_now.passed, test_now.failed); \
        return test_now.failed != 0;                                        \
    }                                                                       \
    static void test_suite(void)

#endif
