// The live page in a real browser: headless Chromium, steered over WebDriver.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "support/browser_window.h"
#include "support/site.h"

namespace remora::test {
namespace {

constexpr const char* row_a = "section[data-pool=app] tr[data-backend=a] ";

class Page : public ::testing::Test {
 protected:
  std::string url(const Remora& remora) const {
    return "http://127.0.0.1:" + std::to_string(remora.admin_port()) + "/";
  }
  std::string fact(const std::string& backend, const std::string& name) {
    return window.text("document.querySelector('tr[data-backend=" + backend + "] [data-cell=" + name +
                       "]')?.textContent");
  }
  Site site{3};
  Window window;
};

TEST_F(Page, ShowsBackendsAndClickingDrainDrains) {
  Remora remora(with_admin(site.config("affinity: cookie\nhealth: {probe: {path: /, interval: 200ms}}\n")));
  for (const char* id : {"a", "b", "c"})
    ASSERT_TRUE(remora.goes(id, "up")) << id;  // then each gets its third
  for (int i = 0; i < 30; ++i) begin(remora.port());
  window.open(url(remora));
  ASSERT_TRUE(eventually([&] { return fact("a", "health") == "up"; }))
      << window.text("document.body.innerText");
  EXPECT_TRUE(eventually([&] { return fact("a", "sessions") == "10+"; })) << fact("a", "sessions");
  EXPECT_EQ(fact("a", "admin"), "ready");
  window.click(std::string(row_a) + "button[data-wish=drain]");
  EXPECT_TRUE(eventually([&] { return fact("a", "admin") == "drain"; }));
  EXPECT_NE(remora.api("GET", "/api/v1/pools/app/backends/a").body.find("\"admin\":\"drain\""),
            std::string::npos);
  for (int i = 0; i < 10; ++i) EXPECT_NE(begin(remora.port()).second, "a");
  EXPECT_TRUE(eventually([&] {
    return window.text("document.querySelector('#events').textContent").find("admin: drain") !=
           std::string::npos;
  }));
  window.click(std::string(row_a) + "button[data-wish=ready]");
  EXPECT_TRUE(eventually([&] { return fact("a", "admin") == "ready"; }));
}

// "In service" in green stood beside servers that were dead, drained or in maintenance.
TEST_F(Page, SaysWhoIsInServiceAndWhoIsNot) {
  Remora remora(with_admin(
      site.config("affinity: cookie\nhealth: {probe: {path: /, interval: 200ms, fall: 1, rise: 1}}\n")));
  window.open(url(remora));
  ASSERT_TRUE(eventually([&] { return fact("a", "service") == "in service"; }))
      << window.text("document.body.innerText");
  window.click(std::string(row_a) + "button[data-wish=drain]");
  EXPECT_TRUE(eventually([&] { return fact("a", "service") == "bound only"; })) << fact("a", "service");
  remora.wish("b", "maint");
  EXPECT_TRUE(eventually([&] { return fact("b", "service") == "out of service"; })) << fact("b", "service");
  site.stop("c");
  EXPECT_TRUE(eventually([&] { return fact("c", "service") == "out of service"; })) << fact("c", "service");
  EXPECT_EQ(window.text("document.querySelectorAll('tr[data-backend] .good').length"), "0")
      << "nothing is green";
  EXPECT_EQ(window.text("document.querySelector('.summary').textContent.trim()"),
            "1 bound only 2 out of service");
}

TEST_F(Page, ShowsTheShareOfErrors) {
  std::atomic<int> asked{0};
  Origin half(answering([&](const std::string&, const std::string&) {
    if (asked++ % 2 == 0) return ok("fine");
    return std::string("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
  }));
  Remora remora(with_admin(simple_config({half.address()}, "health: off\n")));
  window.open(url(remora));
  const std::string errors = "document.querySelector('[data-cell=errors]')?.textContent";
  EXPECT_TRUE(eventually([&] {
    for (int i = 0; i < 20; ++i) remora.ask(get("/"));
    return window.text(errors) == "50 %";
  })) << window.text(errors);
}

TEST_F(Page, OfManyBackendsThoseThatNeedAttentionStandFirstAndOthersAreFound) {
  std::vector<std::string> addresses;
  for (int i = 1; i <= 60; ++i)
    addresses.push_back("{id: s" + std::to_string(i) + ", address: \"127.0.0.1:" + std::to_string(i) + "\"}");
  Remora remora(with_admin(simple_config(addresses, "health: off\n")));
  window.open(url(remora));
  const std::string rows = "document.querySelectorAll('tr[data-backend]:not([hidden])').length";
  ASSERT_TRUE(eventually([&] { return window.text(rows) == "60"; })) << window.text(rows);
  EXPECT_EQ(window.text("document.querySelector('.summary').textContent.trim()"), "60 in service");
  remora.wish("s42", "maint");
  EXPECT_TRUE(eventually(
      [&] { return window.text("document.querySelector('tr[data-backend]').dataset.backend") == "s42"; }));
  window.click("#attention");
  EXPECT_EQ(window.text(rows), "1");
  window.click("#attention");
  window.type("#filter", "S4 ready");
  EXPECT_EQ(window.text(rows), "10") << "s4, s40 to s49 without the one in maintenance";
  EXPECT_LT(std::stod(window.text("document.querySelector('tr[data-backend=s1]').hidden ? 0 : 1")), 1);
  window.run(
      "document.querySelector('#filter').value = ''; document.querySelector('#filter').dispatchEvent(new "
      "Event('input'))");
  EXPECT_EQ(window.text("document.querySelector('tr[data-backend=s1]').getBoundingClientRect().height < 40"),
            "true");
}

TEST_F(Page, NeedsNothingFromElsewhere) {
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  window.open(url(remora));
  ASSERT_TRUE(eventually([&] { return fact("a", "admin") == "ready"; }));
  EXPECT_EQ(
      window.text(
          "performance.getEntriesByType('resource').filter(r => !r.name.startsWith(location.origin)).length"),
      "0");
}

TEST_F(Page, WorksByKeyboardAlone) {
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  window.open(url(remora));
  ASSERT_TRUE(eventually([&] { return fact("b", "admin") == "ready"; }));
  bool reached = false;
  for (int i = 0; i < 30 && !reached; ++i) {
    window.press("\xEE\x80\x84");  // Tab
    reached = window.text("document.activeElement.getAttribute('aria-label')") == "maint app/b";
  }
  ASSERT_TRUE(reached);
  std::this_thread::sleep_for(2500ms);  // an update comes by and must not take the focus away
  EXPECT_EQ(window.text("document.activeElement.getAttribute('aria-label')"), "maint app/b");
  window.press("\xEE\x80\x87");  // Enter
  EXPECT_TRUE(eventually([&] { return fact("b", "admin") == "maint"; }));
}

TEST_F(Page, FitsOnAPhone) {
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  window.resize(390, 844);
  window.open(url(remora));
  ASSERT_TRUE(eventually([&] { return fact("a", "admin").find("ready") != std::string::npos; }));
  EXPECT_EQ(window.text("document.documentElement.scrollWidth <= window.innerWidth"), "true");
  EXPECT_EQ(
      window.text("[...document.querySelectorAll('#pools button')].every(b => "
                  "b.getBoundingClientRect().right <= innerWidth && b.getBoundingClientRect().height >= 40)"),
      "true");
}

TEST_F(Page, AsksForTheTokenAndKeepsIt) {
  std::string config = site.config("affinity: cookie\n");
  config.replace(config.find("admin: off"), 10,
                 "admin: {bind: \"127.0.0.1:0\", token: {env: REMORA_TEST_KEY}}");
  Remora remora(config);
  window.open(url(remora));
  ASSERT_TRUE(eventually([&] { return window.text("document.querySelector('#login').hidden") == "false"; }));
  EXPECT_EQ(fact("a", "admin"), "undefined");
  window.type("#token", std::string(std::getenv("REMORA_TEST_KEY")) + "\xEE\x80\x87");
  EXPECT_TRUE(eventually([&] { return fact("a", "admin") == "ready"; }));
  window.click(std::string(row_a) + "button[data-wish=drain]");
  EXPECT_TRUE(eventually([&] { return fact("a", "admin") == "drain"; }));
}

TEST_F(Page, SaysWhenNobodyAnswers) {
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  window.open(url(remora));
  ASSERT_TRUE(eventually([&] { return fact("a", "admin") == "ready"; }));
  remora.stop();
  EXPECT_TRUE(eventually([&] {
    return window.text("document.querySelector('#state').textContent").find("no answer") != std::string::npos;
  }));
  EXPECT_EQ(fact("a", "admin"), "ready");
}

/// Not a test of behavior: `./dev screenshot` makes the README's picture with it.
TEST_F(Page, Picture) {
  const char* file = std::getenv("REMORA_SCREENSHOT");
  if (file == nullptr) GTEST_SKIP() << "REMORA_SCREENSHOT names no file";
  Remora remora(
      with_admin(site.config("affinity: cookie\nhealth: {probe: {path: /, interval: 200ms, fall: 1}}\n")));
  std::vector<Browser> browsers;
  for (int i = 0; i < 60; ++i) browsers.push_back(begin(remora.port()).first);
  window.open(url(remora));
  remora.command({"drain", "app/b", "--deadline", "30m"});
  for (int i = 0; i < 1500; ++i) {
    if (i == 900) site.stop("c");
    browsers[static_cast<std::size_t>(i * 7 + i / 60) % browsers.size()].get(remora.port());
    std::this_thread::sleep_for(std::chrono::milliseconds(3 + (i / 100) % 5 * 3));
  }
  std::this_thread::sleep_for(2500ms);
  window.screenshot(file);
}

}  // namespace
}  // namespace remora::test
