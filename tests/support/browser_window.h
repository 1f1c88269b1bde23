// A real browser for tests: headless Chromium, steered over WebDriver (https://www.w3.org/TR/webdriver2/).
#pragma once

#include <boost/json.hpp>
#include <string>

#include "support/process.h"

namespace remora::test {

/// chromedriver, with one window. Certificates are not checked.
class Window {
 public:
  Window();
  ~Window();
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  void open(const std::string& url);
  boost::json::value run(const std::string& script);
  /// An expression's value as text.
  std::string text(const std::string& expression);
  void click(const std::string& selector);
  void type(const std::string& selector, const std::string& keys);
  /// Into whatever has the focus.
  void press(const std::string& key);
  void resize(int width, int height);
  void screenshot(const std::string& file);

 private:
  std::string element(const std::string& selector);
  boost::json::value call(const std::string& method, const std::string& path,
                          boost::json::value body = nullptr);
  int port_;
  std::string folder_;
  Process driver_;
  std::string session_;
};

}  // namespace remora::test
