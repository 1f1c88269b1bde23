#include "support/browser_window.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "support/remora.h"

namespace remora::test {

namespace json = boost::json;

Window::Window()
    : port_(free_port()),
      folder_(make_folder()),
      driver_({"chromedriver", "--port=" + std::to_string(port_)}, folder_ + "/driver.log") {
  EXPECT_TRUE(driver_.wait_for_port(port_));
  const json::array arguments{"--headless",
                              "--no-sandbox",
                              "--disable-gpu",
                              "--disable-quic",
                              "--no-first-run",
                              "--disable-background-networking",
                              "--disable-component-update",
                              "--disable-sync",
                              "--ignore-certificate-errors",
                              "--user-data-dir=" + folder_ + "/profile",
                              "--window-size=1280,900"};
  const json::value made =
      call("POST", "/session",
           {{"capabilities",
             {{"alwaysMatch",
               {{"browserName", "chrome"},
                {"goog:chromeOptions", {{"binary", "/usr/bin/chromium"}, {"args", arguments}}}}}}}});
  if (made.is_object() && made.get_object().contains("sessionId"))
    session_ = "/session/" + std::string(made.get_object().at("sessionId").as_string());
  else
    ADD_FAILURE() << "no browser: " << made;
}

Window::~Window() {
  if (!session_.empty()) call("DELETE", session_);
  driver_.kill();
  std::error_code ignored;
  std::system(("rm -rf " + folder_).c_str());
}

void Window::open(const std::string& url) {
  call("POST", session_ + "/url", {{"url", url}});
}
json::value Window::run(const std::string& script) {
  return call("POST", session_ + "/execute/sync", {{"script", script}, {"args", json::array()}});
}

std::string Window::text(const std::string& expression) {
  const json::value v = run("return String(" + expression + ")");
  return v.is_string() ? std::string(v.get_string()) : "";
}

void Window::click(const std::string& selector) {
  call("POST", element(selector) + "/click", json::object());
}
void Window::type(const std::string& selector, const std::string& keys) {
  call("POST", element(selector) + "/value", {{"text", keys}});
}

void Window::press(const std::string& key) {
  json::array actions{{{"type", "keyDown"}, {"value", key}}, {{"type", "keyUp"}, {"value", key}}};
  call("POST", session_ + "/actions",
       {{"actions", json::array{{{"type", "key"}, {"id", "keyboard"}, {"actions", actions}}}}});
}

void Window::resize(int width, int height) {
  call("POST", session_ + "/goog/cdp/execute",
       {{"cmd", "Emulation.setDeviceMetricsOverride"},
        {"params", {{"width", width}, {"height", height}, {"deviceScaleFactor", 1}, {"mobile", true}}}});
}

void Window::screenshot(const std::string& file) {
  const json::value v = call("GET", session_ + "/screenshot");
  if (v.is_string()) {
    std::system(("printf %s '" + std::string(v.get_string()) + "' > " + folder_ + "/b64 && base64 -d " +
                 folder_ + "/b64 > " + file)
                    .c_str());
  }
}

std::string Window::element(const std::string& selector) {
  const json::value found =
      call("POST", session_ + "/element", {{"using", "css selector"}, {"value", selector}});
  if (!found.is_object() || found.get_object().empty() || !found.get_object().begin()->value().is_string()) {
    ADD_FAILURE() << "no " << selector << ": " << found;
    return session_ + "/element/none";
  }
  return session_ + "/element/" + std::string(found.get_object().begin()->value().get_string());
}

json::value Window::call(const std::string& method, const std::string& path, json::value body) {
  const std::string text = body.is_null() ? "" : json::serialize(body);
  const Reply r = ask(port_, method + " " + path +
                                 " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
                                 "application/json\r\nContent-Length: " +
                                 std::to_string(text.size()) + "\r\n\r\n" + text);
  boost::system::error_code ec;
  const json::value v = json::parse(r.body, ec);
  if (ec || !v.is_object() || !v.get_object().contains("value")) return nullptr;
  return v.get_object().at("value");
}

}  // namespace remora::test
