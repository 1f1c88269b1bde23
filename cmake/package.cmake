# What is installed, and the Debian package: `./dev package`, or cpack in a build folder.
install(TARGETS remora RUNTIME DESTINATION bin)
install(FILES config/remora.yaml DESTINATION /etc/remora)
install(FILES config/remora.service DESTINATION lib/systemd/system)
install(FILES config/reference.yaml docs/operating.md docs/state.md DESTINATION share/doc/remora)
install(DIRECTORY config/examples DESTINATION share/doc/remora)
install(FILES LICENSE DESTINATION share/doc/remora RENAME copyright)
find_program(GZIP gzip)
if(GZIP)  # as Debian's policy wants manual pages
  set(manual ${PROJECT_BINARY_DIR}/generated/remora.1.gz)
  add_custom_command(OUTPUT ${manual} DEPENDS ${PROJECT_SOURCE_DIR}/config/remora.1
    COMMAND ${GZIP} -9nc ${PROJECT_SOURCE_DIR}/config/remora.1 > ${manual})
  add_custom_target(remora_manual ALL DEPENDS ${manual})
  add_dependencies(remora remora_manual)
else()
  set(manual config/remora.1)
endif()
install(FILES ${manual} DESTINATION share/man/man1)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME remora)
set(CPACK_PACKAGE_CONTACT "remora developers <remora@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "HTTP load balancer that keeps sessions")
set(CPACK_PACKAGE_DESCRIPTION "A layer-7 reverse proxy with sticky sessions. A sealed cookie, the app's own
id, a header or an address says which server holds a session; when that server
dies, all requests of the session move to the same other one, and it is told.
Draining, health checks, JWT verification, shared session stores, and reloads
and upgrades that lose no connection.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(deb ${PROJECT_SOURCE_DIR}/config/deb)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${deb}/conffiles ${deb}/postinst ${deb}/prerm ${deb}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/package_tools.cmake)
include(CPack)
