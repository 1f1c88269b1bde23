// Which certificates of a listener go together.

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "net/server_tls.h"

namespace remora {
namespace {

using Groups = std::vector<std::vector<std::size_t>>;

std::vector<std::size_t> chosen(const CertificateChoice& choice, std::string_view name) {
  const std::size_t* const group = choice.find(name);
  return group == nullptr ? std::vector<std::size_t>() : choice.groups()[*group];
}
using Places = std::vector<std::size_t>;

// haproxy/haproxy #2392, nghttp2/nghttp2 #792: an RSA and an ECDSA certificate for one name.
TEST(CertificateChoice, OfOneNameHasOneOfEachKeyTypeInTheFilesOrder) {
  const std::vector<CertificateInfo> list = {{{"a.test"}, EVP_PKEY_EC},
                                             {{"a.test"}, EVP_PKEY_RSA},
                                             {{"a.test"}, EVP_PKEY_EC},
                                             {{"a.test"}, EVP_PKEY_ED25519}};
  const CertificateChoice choice(list);
  EXPECT_EQ(choice.groups(), (Groups{{0, 1, 3}}));
  EXPECT_EQ(chosen(choice, "A.test."), (Places{0, 1, 3}));
  EXPECT_EQ(choice.find("b.test"), nullptr);
}

TEST(CertificateChoice, GivesNobodyACertificateForAnotherName) {
  const std::vector<CertificateInfo> list = {
      {{"a.test", "b.test"}, EVP_PKEY_RSA}, {{"a.test"}, EVP_PKEY_EC}, {{"c.test"}, EVP_PKEY_EC}};
  const CertificateChoice choice(list);
  EXPECT_EQ(choice.groups().front(), (Places{0, 1}));  // also without a name: what goes with the first
  EXPECT_EQ(chosen(choice, "a.test"), (Places{0, 1}));
  EXPECT_EQ(chosen(choice, "b.test"), Places{0});
  EXPECT_EQ(chosen(choice, "c.test"), Places{2});
}

TEST(CertificateChoice, TheFirstOfTheFileAnswersThoseWithoutAName) {
  const std::vector<CertificateInfo> list = {{{"a.test"}, EVP_PKEY_RSA}, {{"b.test"}, EVP_PKEY_EC}};
  EXPECT_EQ(CertificateChoice(list).groups().front(), Places{0});
  const std::vector<CertificateInfo> nameless = {{{}, EVP_PKEY_RSA}, {{"b.test"}, EVP_PKEY_EC}};
  EXPECT_EQ(CertificateChoice(nameless).groups().front(), Places{0});
}

TEST(CertificateChoice, WildcardsStandForOneLabelAndGoWithExactNames) {
  const std::vector<CertificateInfo> list = {{{"*.a.test", "a.test"}, EVP_PKEY_RSA},
                                             {{"www.a.test"}, EVP_PKEY_EC}};
  const CertificateChoice choice(list);
  EXPECT_EQ(chosen(choice, "www.a.test"), (Places{0, 1}));
  EXPECT_EQ(chosen(choice, "x.a.test"), Places{0});
  EXPECT_EQ(chosen(choice, "a.test"), Places{0});
  EXPECT_EQ(choice.find("x.y.a.test"), nullptr);
  EXPECT_EQ(choice.find(".a.test"), nullptr);
  EXPECT_EQ(choice.find(""), nullptr);
}

// RFC 9113 9.1.1: a client reuses its connection for other names of the certificate that it was shown.
TEST(CertificateChoice, SaysWhetherAConnectionServesAnotherName) {
  const std::vector<CertificateInfo> list = {
      {{"a.test", "b.test"}, EVP_PKEY_RSA}, {{"b.test"}, EVP_PKEY_EC}, {{"c.test"}, EVP_PKEY_EC}};
  const CertificateChoice choice(list);
  EXPECT_TRUE(choice.share_one("a.test", "b.test"));
  EXPECT_TRUE(choice.share_one("c.test", "C.test."));
  EXPECT_FALSE(choice.share_one("a.test", "c.test"));
  EXPECT_FALSE(choice.share_one("c.test", "b.test"));
  EXPECT_FALSE(choice.share_one("", "c.test")) << "without SNI it was shown the first one";
  EXPECT_TRUE(choice.share_one("", "b.test"));
  EXPECT_TRUE(choice.share_one("c.test", "unknown.test")) << "no certificate would be better";
  EXPECT_TRUE(CertificateChoice(std::span(list).first(1)).share_one("a.test", "c.test"));
}

}  // namespace
}  // namespace remora
