// Asio, Beast, JSON and URL, compiled once for the whole program (their separate-compilation mode).
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
#include <boost/json/src.hpp>
#include <boost/url/src.hpp>
