// Floods over HTTP/2: many cheap frames that cost the server work or memory (RFC 9113 10.5). Each ends the
// connection with ENHANCE_YOUR_CALM, or its end; the server serves others, and what it spent stays within a
// bound for what was sent.

#include <unistd.h>

#include <fstream>
#include <sstream>

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

/// A server of its own for each test, so that its figures are about one flood.
class Floods : public ::testing::Test {
 protected:
  void SetUp() override {
    remora = std::make_unique<Remora>(
        h2_config(backend, "timeouts: {header: 500ms, write: 1s, body: 1s, idle: 5s}\n"));
    Client warm(remora->port());
    ASSERT_TRUE(warm.start());
    ASSERT_TRUE(warm.alive());
    cpu_before_ = cpu();
    resident_before_ = remora->resident();
  }

  /// The server serves others, and spent no more than `per_frame` of CPU for each frame.
  void TearDown() override {
    backend.release();
    Client other(remora->port());
    EXPECT_TRUE(other.start());
    EXPECT_TRUE(other.alive());
    EXPECT_EQ(other.violation(), "");
    const auto spent = cpu() - cpu_before_;
    EXPECT_LT(spent, within(500ms + std::chrono::milliseconds(frames_sent_ / 10)))
        << frames_sent_ << " frames";
    if (!sanitized()) {
      EXPECT_LT(remora->resident(), resident_before_ + memory_bound_);
    }
  }

  /// Sends what `unit(i)` returns, again and again, until the server has had enough or `units` were sent.
  void flood(Client& client, const std::function<std::string(std::uint32_t)>& unit, int frames,
             int units = 100000) {
    std::string batch;
    for (int i = 0; i < units && !client.went_away() && !client.closed(); ++i) {
      batch += unit(static_cast<std::uint32_t>(i));
      frames_sent_ += frames;
      if (i % 50 != 49) continue;
      if (!client.send(std::exchange(batch, {}))) break;
      client.poll();
    }
  }

  /// The connection ends, and if GOAWAY says why, with this code. PROTOCOL_ERROR: nghttp2 ends connections
  /// with more streams than were announced, and those that await their reset are among them.
  static void expect_ended(Client& client, std::initializer_list<Error> codes = {Error::enhance_your_calm}) {
    EXPECT_TRUE(client.closes());
    if (client.went_away()) {
      EXPECT_NE(std::find(codes.begin(), codes.end(), client.goaway_code()), codes.end())
          << name_of(client.goaway_code());
    }
  }

  /// How many clients' connections are open, as /metrics has it.
  std::string connections() const {
    const std::string all = remora->api("GET", "/metrics").body;
    const std::size_t line = all.find("\nremora_connections{"), value = all.find("} ", line) + 2;
    return all.substr(value, all.find('\n', value) - value);
  }

  /// User and system time of the server so far.
  std::chrono::milliseconds cpu() const {
    std::ifstream in("/proc/" + std::to_string(remora->pid()) + "/stat");
    std::string text(std::istreambuf_iterator<char>(in), {});
    std::istringstream words(text.substr(text.rfind(')') + 2));  // behind the name
    std::string skipped;
    for (int i = 0; i < 11; ++i) words >> skipped;
    long user = 0, system = 0;
    words >> user >> system;
    return std::chrono::milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
  }

  Backend backend;
  std::unique_ptr<Remora> remora;
  std::size_t memory_bound_ = std::size_t{16} << 20;

 private:
  std::chrono::milliseconds cpu_before_{};
  std::size_t resident_before_ = 0;
  long frames_sent_ = 0;
};

// Frames that carry nothing ---------------------------------------------------------------------------------

struct Cheap {
  const char* name;
  std::string before, unit;
};
void PrintTo(const Cheap& c, std::ostream* out) {
  *out << c.name;
}

class AFloodOf : public Floods, public ::testing::WithParamInterface<Cheap> {};

TEST_P(AFloodOf, EndsTheConnection) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  client.send(GetParam().before);
  flood(client, [](std::uint32_t) { return GetParam().unit; }, 1);
  expect_ended(client);
}

std::string upload(std::uint32_t id) {
  return headers(id, post_block("/hold"), end_headers);
}

INSTANTIATE_TEST_SUITE_P(
    Floods, AFloodOf,
    ::testing::Values(
        Cheap{"Settings", "", settings({{Setting::initial_window_size, 65535}})},  // CVE-2019-9515
        Cheap{"EmptySettings", "", settings()},
        Cheap{"SettingsThatChangeTheTable", "",
              settings({{Setting::header_table_size, 0}, {Setting::header_table_size, 4096}})},
        Cheap{"Pings", "", ping()},  // CVE-2019-9512
        Cheap{"PingAcknowledgments", "", ping("12345678", ack)},
        Cheap{"EmptyData", upload(1), data(1, "")},  // CVE-2019-9518
        Cheap{"DataOfNothingButPadding", upload(1), frame(Type::data, padded, 1, with_padding("", 0, 0))},
        Cheap{"Priority", "", priority(1, 0)},  // CVE-2019-9513
        Cheap{"PriorityOfARunningStream", upload(1), priority(1, 3)},
        Cheap{"PriorityUpdates", "", priority_update(1, "u=1")},
        Cheap{"PriorityUpdatesOfARunningStream", upload(1), priority_update(1, "u=1, i")},
        Cheap{"WindowUpdatesOf1", "", window_update(0, 1)},
        Cheap{"WindowUpdatesOf1OnAStream", upload(1), window_update(1, 1)},
        Cheap{"UnknownFrames", "", frame(static_cast<Type>(0xfe), 0, 0)},
        Cheap{"UnknownFramesOnAStream", upload(1), frame(static_cast<Type>(0xfe), 0, 1, "x")},
        Cheap{"ResetsOfAClosedStream", upload(1) + rst_stream(1), rst_stream(1)},
        Cheap{"DataOnAResetStream", upload(1) + rst_stream(1), data(1, "")}),
    [](const auto& info) { return info.param.name; });

// Resets ----------------------------------------------------------------------------------------------------

// CVE-2023-44487
TEST_F(Floods, ARapidResetEndsTheConnection) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  flood(client, [](std::uint32_t i) { return headers(2 * i + 1, get_block()) + rst_stream(2 * i + 1); }, 2);
  expect_ended(client);
  EXPECT_LT(backend.requests().size(), 2000u);
}

TEST_F(Floods, ARapidResetInRoundsEndsTheConnection) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  const auto round = [](std::uint32_t i) {
    std::string out;
    for (std::uint32_t k = 0; k < 50; ++k) out += headers(2 * (50 * i + k) + 1, get_block("/hold"));
    for (std::uint32_t k = 0; k < 50; ++k) out += rst_stream(2 * (50 * i + k) + 1);
    return out;
  };
  flood(client, round, 100, 1000);
  expect_ended(client);
  EXPECT_LT(backend.requests().size(), 2000u);
}

struct Provocation {
  const char* name;
  std::string (*of)(std::uint32_t stream);
  Error other_code;  // where the first one ends the connection as a connection error
};
void PrintTo(const Provocation& p, std::ostream* out) {
  *out << p.name;
}

// CVE-2025-8671: the client makes the server reset the streams, so that it counts no RST_STREAM of the
// client.
class AResetProvokedBy : public Floods, public ::testing::WithParamInterface<Provocation> {};

TEST_P(AResetProvokedBy, AgainAndAgainEndsTheConnection) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  flood(client, [](std::uint32_t i) { return GetParam().of(2 * i + 1); }, 2);
  expect_ended(client, {Error::enhance_your_calm, Error::protocol_error, GetParam().other_code});
  EXPECT_LT(backend.requests().size(), 2000u);
}

INSTANTIATE_TEST_SUITE_P(
    Floods, AResetProvokedBy,
    ::testing::Values(
        Provocation{"AWindowUpdateOf0",
                    [](std::uint32_t id) { return headers(id, get_block()) + window_update(id, 0); },
                    Error::protocol_error},
        Provocation{"AWindowThatOverflows",
                    [](std::uint32_t id) { return headers(id, get_block()) + window_update(id, 0x7fffffff); },
                    Error::flow_control_error},
        Provocation{"DataBehindTheEnd",
                    [](std::uint32_t id) { return headers(id, get_block()) + data(id, "x"); },
                    Error::stream_closed},
        Provocation{"AHeadBehindTheEnd",
                    [](std::uint32_t id) { return headers(id, get_block()) + headers(id, get_block()); },
                    Error::stream_closed},
        Provocation{
            "APriorityOfFourBytes",
            [](std::uint32_t id) { return headers(id, get_block()) + frame(Type::priority, 0, id, "abcd"); },
            Error::frame_size_error},
        Provocation{"ABodyBeyondItsLength",
                    [](std::uint32_t id) {
                      return headers(id, post_block("/", {{"content-length", "1"}}), end_headers) +
                             data(id, "two", end_stream);
                    },
                    Error::protocol_error},
        Provocation{"AMalformedHead",
                    [](std::uint32_t id) { return headers(id, get_block("/", {{"Upper", "x"}})) + ""; },
                    Error::protocol_error},
        Provocation{"MalformedTrailers",
                    [](std::uint32_t id) {
                      return headers(id, post_block(), end_headers) + headers(id, block({{":path", "/"}}));
                    },
                    Error::protocol_error}),
    [](const auto& info) { return info.param.name; });

TEST_F(Floods, RequestsBeyondTheLimitOfStreamsEndTheConnection) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  flood(client, [](std::uint32_t i) { return headers(2 * i + 1, get_block("/hold")); }, 1);
  expect_ended(client, {Error::enhance_your_calm, Error::protocol_error});
  EXPECT_LT(backend.requests().size(), 2000u);
}

// Heads -----------------------------------------------------------------------------------------------------

struct EndlessHead {
  const char* name;
  std::string part;
};
void PrintTo(const EndlessHead& e, std::ostream* out) {
  *out << e.name;
}

// CVE-2024-27316
class AHeadWithoutEndOf : public Floods, public ::testing::WithParamInterface<EndlessHead> {};

TEST_P(AHeadWithoutEndOf, EndsTheConnection) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  client.send(headers(1, get_block(), end_stream));
  flood(client, [](std::uint32_t) { return continuation(1, GetParam().part, 0); }, 1, 20000);
  expect_ended(client);
  EXPECT_EQ(backend.lines().find("GET / "), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Floods, AHeadWithoutEndOf,
                         ::testing::Values(EndlessHead{"EmptyContinuations", ""},
                                           EndlessHead{"SmallContinuations", block({{"x", "y"}})},
                                           EndlessHead{"GreatContinuations",
                                                       block({{"x", std::string(16000, 'y')}})}),
                         [](const auto& info) { return info.param.name; });

// timeouts.header
TEST_F(Floods, AHeadThatNeverEndsIsCutInTime) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  client.send(headers(1, get_block(), 0));
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(backend.lines(), "GET /alive\n");
}

TEST_F(Floods, AHeadThatNeverEndsIsCutAlsoWhileARequestRuns) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  client.send(headers(1, get_block("/hold")) + headers(3, get_block(), 0));
  EXPECT_TRUE(client.closes());
}

TEST_F(Floods, AFrameThatNeverEndsIsCutInTime) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  client.send(frame_of_length(1000, Type::headers, end_headers | end_stream, 1, "ab"));
  EXPECT_TRUE(client.closes());
}

/// One byte of the table refers to 4,000 bytes: a frame of 16 KiB would become 64 MB.
TEST_F(Floods, AnHpackBombIsRefusedWithoutItsMemory) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  const std::string entry = hpack::incremental("x-bomb", std::string(4000, 'b'));
  const std::uint32_t first = client.next_stream();
  client.send(headers(first, get_block() + entry));
  EXPECT_TRUE(client.responds(first));
  const std::string bomb = get_block() + std::string(16000, hpack::indexed(hpack::newest)[0]);
  flood(client, [&](std::uint32_t i) { return headers(2 * i + 3, bomb); }, 160, 400);
  expect_ended(client);
  EXPECT_LE(backend.requests().size(), 2u);
}

TEST_F(Floods, GreatHeadsAgainAndAgainEndTheConnectionOrAreRefused) {
  memory_bound_ = std::size_t{24} << 20;
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  std::string great = get_block();
  for (int i = 0; i < 12; ++i) great += hpack::literal("x-great", std::string(4000, 'g'));
  flood(
      client, [&](std::uint32_t i) { return headers_in_parts(2 * i + 1, great, max_frame_payload); }, 100,
      500);
  client.sync();
  if (client.went_away()) {
    expect_ended(client);
  }
  EXPECT_EQ(backend.lines(), "GET /alive\n");
}

// Readers that are slow, or do not read ---------------------------------------------------------------------

/// CVE-2019-9511, CVE-2019-9517: many responses are wanted, and no window is given for them.
TEST_F(Floods, ManyStreamsWithoutWindowsHoldLittleAndEndInTime) {
  memory_bound_ = std::size_t{40} << 20;  // of 100 MB that were asked for
  Client client(remora->port());
  ASSERT_TRUE(client.start({{Setting::initial_window_size, 1}}));
  client.updates_windows = false;
  for (int i = 0; i < 100; ++i) client.get("/bytes/1000000");
  ASSERT_TRUE(backend.received(100));
  client.wait([&] {
    return std::all_of(client.streams().begin(), client.streams().end(),
                       [](const auto& s) { return s.second.over(); });
  });
  for (const auto& [id, stream] : client.streams()) EXPECT_TRUE(client.closed() || stream.reset) << id;
}

/// Windows of any size, and a socket that is never read.
TEST_F(Floods, AClientThatDoesNotReadIsClosedInTime) {
  memory_bound_ = std::size_t{40} << 20;
  Client client(remora->port());
  ASSERT_TRUE(client.start({{Setting::initial_window_size, 0x7fffffff}}));
  client.reads = false;
  client.send(window_update(0, 0x7fffffff - 65535));
  for (int i = 0; i < 100; ++i) client.get("/bytes/1000000");
  EXPECT_TRUE(eventually([&] { return connections() == "0"; }));
}

TEST_F(Floods, PingsWhoseAcknowledgmentsNobodyReadsAreBounded) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  client.reads = false;
  std::string many;
  for (int i = 0; i < 100; ++i) many += ping();
  int sent = 0;
  while (sent < 1000000 && client.send(many, 2s)) sent += 100;
  EXPECT_LT(sent, 1000000);
  EXPECT_TRUE(eventually([&] { return connections() == "0"; }));
}

/// CVE-2019-9511: each window of one byte makes the server send a frame of one byte.
TEST_F(Floods, ADribbleOfWindowsIsOne) {
  Client client(remora->port());
  ASSERT_TRUE(client.start({{Setting::initial_window_size, 0}}));
  client.updates_windows = false;
  client.send(headers(1, get_block("/bytes/1000000")));
  flood(client, [](std::uint32_t) { return window_update(1, 1); }, 2, 20000);
  expect_ended(client);
}

// Those who are busy, and no flood --------------------------------------------------------------------------

TEST_F(Floods, ABusyClientIsNotTakenForOne) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  for (int i = 0; i < 2000; ++i) {
    const std::uint32_t id = client.get("/");
    client.send(ping());
    client.send(priority_update(id, "u=2"));
    if (i % 10 == 0) client.send(rst_stream(client.get("/")));
    ASSERT_TRUE(client.responds(id)) << i;
  }
  EXPECT_EQ(client.violation(), "");
}

/// A browser that leaves a page cancels all that the page was loading.
TEST_F(Floods, AClientThatCancelsAllItsStreamsOnceIsNotTakenForOne) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  std::string resets;
  for (int i = 0; i < 100; ++i) resets += rst_stream(client.get("/hold"));
  client.send(resets);
  EXPECT_TRUE(client.alive());
}

TEST_F(Floods, AnUploadInSmallFramesIsNotTakenForOne) {
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  client.send(headers(1, post_block("/upload"), end_headers));
  for (int i = 0; i < 20000; ++i) ASSERT_TRUE(client.send(data(1, "x"))) << i;
  client.send(data(1, "", end_stream));
  EXPECT_TRUE(client.responds(1));
}

}  // namespace
}  // namespace remora::test::h2
